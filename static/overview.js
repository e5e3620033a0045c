// The Overview works without this file. It renews what happens now every few seconds, while the page can be seen.
"use strict";

const RENEW_MS = 5000;
const live = document.getElementById("live");

async function renew() {
  if (document.hidden) {
    return;
  }
  const answer = await fetch(live.dataset.live, { redirect: "error" }).catch(() => null);
  if (answer?.ok) {
    const text = await answer.text();
    // What has not changed stays as it is: a screen reader, or somebody who is selecting text, is not disturbed.
    if (text !== live.dataset.shown) {
      const hadFocus = live.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      live.dataset.shown = text;
      live.innerHTML = text;
      if (hadFocus) {
        [...live.querySelectorAll("a")].find((link) => link.getAttribute("href") === hadFocus)?.focus();
      }
    }
  }
}

setInterval(renew, RENEW_MS);
document.addEventListener("visibilitychange", renew);

// The hours of the chart in the reader's zone.
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZoneName: "short" });
const short = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
for (const time of document.querySelectorAll("time[data-clock]")) {
  time.title = time.textContent;
  time.textContent = (time.dataset.clock === "short" ? short : clock).format(new Date(time.dateTime));
}
for (const zone of document.querySelectorAll("[data-zone]")) {
  zone.textContent = clock.formatToParts().find((part) => part.type === "timeZoneName").value;
}
