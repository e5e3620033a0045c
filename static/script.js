// The pages work without this file; it adds a copy button and keeps a form from being sent twice.
"use strict";

async function copy(source) {
  source.focus();
  source.select();
  if (window.isSecureContext && navigator.clipboard) {
    await navigator.clipboard.writeText(source.value);
  } else if (!document.execCommand("copy")) {
    throw new Error("this browser does not allow a page to copy");
  }
}

for (const button of document.querySelectorAll("[data-copy]")) {
  const source = document.getElementById(button.dataset.copy);
  const status = document.getElementById("copied");
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await copy(source);
      status.textContent = "Copied.";
      button.textContent = "Copied";
    } catch {
      status.textContent = "The text is selected. Press Ctrl+C or ⌘C to copy it.";
    }
    button.focus();
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  source.addEventListener("focus", () => source.select());
  if (document.activeElement === source) {
    source.select();
  }
}

for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
    }
    form.dataset.sent = "yes";
  });
}

// A page that the browser kept in memory for its Back button may send its form again.
addEventListener("pageshow", (event) => {
  if (event.persisted) {
    for (const form of document.querySelectorAll("form[data-once]")) {
      delete form.dataset.sent;
    }
  }
});
