// The pages work without this file. It adds copy buttons, times in the reader's zone, a theme without a reload, and keeps
// a form from being sent twice. What is put into the page later is treated in the same way.
"use strict";

const root = document.documentElement;
const announcement = document.getElementById("announcement");
let clearing = 0;

// Says a sentence at the foot of the page for a few seconds, and to screen readers.
function announce(sentence) {
  announcement.textContent = sentence;
  clearTimeout(clearing);
  clearing = setTimeout(() => { announcement.textContent = ""; }, 4000);
}

// Copying: a button names in data-copy the id of an input, or of any element with text.

async function copy(source) {
  const isField = "value" in source;
  if (isField) {
    source.focus();
    source.select();
  } else {
    getSelection().selectAllChildren(source);
  }
  if (window.isSecureContext && navigator.clipboard) {
    await navigator.clipboard.writeText(isField ? source.value : source.textContent);
  } else if (!document.execCommand("copy")) {
    throw new Error("this browser does not allow a page to copy");
  }
}

async function copyFor(button) {
  const word = button.dataset.word ?? button.textContent;
  button.dataset.word = word;
  try {
    await copy(document.getElementById(button.dataset.copy));
    announce("Copied.");
    button.textContent = "Copied";
  } catch {
    announce("The text is selected. Press Ctrl+C or ⌘C to copy it.");
  }
  button.focus();
  setTimeout(() => { button.textContent = word; }, 2000);
}

function showCopyButton(button) {
  button.hidden = false;
  const source = document.getElementById(button.dataset.copy);
  if (source && "value" in source) {
    source.addEventListener("focus", () => source.select());
    if (document.activeElement === source) {
      source.select();
    }
  }
}

// Times: the server writes them in UTC. The reader sees their own zone, and UTC on pointing at it.

const inZone = { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short" };
const local = new Intl.DateTimeFormat("en-GB", inZone);
const localWithSeconds = new Intl.DateTimeFormat("en-GB", { ...inZone, second: "2-digit" });

function showTime(time) {
  const moment = new Date(time.dateTime);
  if (Number.isNaN(moment.getTime()) || !time.dateTime.endsWith("Z") || "utc" in time.dataset) {
    return;
  }
  const utc = time.title || time.textContent;
  time.dataset.utc = utc;
  if ("relative" in time.dataset) {
    time.title = `${localWithSeconds.format(moment)} = ${utc}`;
  } else {
    time.textContent = ("seconds" in time.dataset ? localWithSeconds : local).format(moment);
    time.title = utc;
  }
}

function improve(place) {
  for (const [selector, act] of [["[data-copy]", showCopyButton], ["time[datetime]", showTime]]) {
    if (place.matches?.(selector)) {
      act(place);
    }
    place.querySelectorAll(selector).forEach(act);
  }
}

improve(document);
new MutationObserver((changes) => {
  for (const change of changes) {
    for (const node of change.addedNodes) {
      if (node instanceof Element) {
        improve(node);
      }
    }
  }
}).observe(document.body, { childList: true, subtree: true });

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) {
    copyFor(button);
  }
  // The menu, and a question that was opened, close when something else is clicked.
  for (const opened of document.querySelectorAll("details:is(.menu, .confirm)[open]")) {
    if (!opened.contains(event.target)) {
      opened.open = false;
    }
  }
});

document.addEventListener("keydown", (event) => {
  const opened = event.key === "Escape" && event.target.closest("details:is(.menu, .confirm)[open]");
  if (opened) {
    opened.open = false;
    opened.querySelector("summary").focus();
  }
});

// The theme: at once, and kept in the background. The form does it where that fails.

for (const form of document.querySelectorAll("[data-theme-form]")) {
  form.addEventListener("submit", async (event) => {
    const button = event.submitter;
    const body = new URLSearchParams(new FormData(form));
    if (!button?.value) {
      return;
    }
    event.preventDefault();
    body.set("theme", button.value);
    root.dataset.theme = button.value;
    document.querySelector("meta[name=color-scheme]").content = button.value === "system" ? "light dark" : button.value;
    for (const each of document.querySelectorAll("[data-theme-form] button")) {
      each.setAttribute("aria-pressed", String(each.value === button.value));
    }
    const answer = await fetch(form.action, { method: "POST", body, redirect: "manual" }).catch(() => null);
    if (answer?.type !== "opaqueredirect") {
      announce("Your choice could not be kept. Reload the page and try again.");
    }
  });
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("form[data-once]")) {
    return;
  }
  if (form.dataset.sent) {
    event.preventDefault();
  }
  form.dataset.sent = "yes";
});

// A page that the browser kept in memory for its Back button may send its form again.
addEventListener("pageshow", (event) => {
  if (event.persisted) {
    for (const form of document.querySelectorAll("form[data-once]")) {
      delete form.dataset.sent;
    }
  }
});
