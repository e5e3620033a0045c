// Shows the API description with Swagger UI, dark where the page is.
"use strict";

const page = document.getElementById("api");
const prefersDark = matchMedia("(prefers-color-scheme: dark)");

// Swagger UI has a dark style of its own, behind this class.
function followTheme() {
  const { theme } = document.documentElement.dataset;
  const isDark = theme === "dark" || (theme !== "light" && prefersDark.matches);
  document.documentElement.classList.toggle("dark-mode", isDark);
}

followTheme();
prefersDark.addEventListener("change", followTheme);
new MutationObserver(followTheme).observe(document.documentElement, { attributeFilter: ["data-theme"] });

window.SwaggerUIBundle({
  url: page.dataset.document,
  domNode: page,
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  persistAuthorization: false,
  validatorUrl: null,
  // Its choice of a server has no name of its own.
  onComplete: () => page.querySelector(".schemes select")?.setAttribute("aria-label", "Server"),
});
