// A button that may be pressed again later counts the seconds down. Without this file it is simply there, and the server
// says how long to wait.
"use strict";

for (const button of document.querySelectorAll("[data-wait-seconds]")) {
  const label = button.textContent;
  const ready = Date.now() + Number(button.dataset.waitSeconds) * 1000;
  const show = () => {
    const seconds = Math.ceil((ready - Date.now()) / 1000);
    button.disabled = seconds > 0;
    button.textContent = seconds > 0 ? `${label} in ${seconds} s` : label;
    if (seconds > 0) {
      setTimeout(show, 250);
    }
  };
  show();
}
