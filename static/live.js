// Keeps an open page current. Without this file, the link Refresh does.
"use strict";

const region = document.getElementById("live-region");

if (region?.dataset.live) {
  const sign = document.getElementById("live");
  const button = document.getElementById("live-switch");
  const tab = Array.from(crypto.getRandomValues(new Uint32Array(2)), (part) => part.toString(36)).join("");
  let tag = region.dataset.tag;
  let seconds = 2;
  let waiting = 0;
  let isPaused = false;
  let isOver = false;
  let isAsking = false;

  document.getElementById("refresh").hidden = true;
  sign.hidden = false;
  button.hidden = false;

  function say(word, tone) {
    sign.lastChild.textContent = word;
    sign.firstChild.className = tone ? `dot ${tone}` : "dot";
  }

  // In its place among its siblings, each element that has not changed stays the same: the focus and the scroll stay.
  function updateRows(old, fresh) {
    const order = Array.from(fresh.children, (row) => {
      const known = document.getElementById(row.id);
      if (!known) {
        row.classList.add("fresh");
        return row;
      }
      return known.dataset.version === row.dataset.version ? known : replace(known, row);
    });
    order.forEach((row, place) => {
      if (old.children[place] !== row) {
        old.insertBefore(row, old.children[place] ?? null);
      }
    });
    while (old.children.length > order.length) {
      old.lastElementChild.remove();
    }
  }

  function replace(old, fresh) {
    const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
    const isOpen = old.querySelector("details[open]") !== null;
    old.replaceWith(fresh);
    if (isOpen) {
      fresh.querySelector("details")?.setAttribute("open", "");
    }
    if (focused) {
      document.getElementById(focused)?.focus({ preventScroll: true });
    }
    return fresh;
  }

  function update(html) {
    const fresh = document.createElement("template");
    fresh.innerHTML = html;
    for (const part of Array.from(fresh.content.children)) {
      const old = document.getElementById(part.id);
      const rows = part.querySelector("[data-keyed]");
      const oldRows = rows && old?.querySelector(`#${rows.id}`);
      if (oldRows) {
        updateRows(oldRows, rows);
      } else if (!old) {
        region.append(part);
      } else if (!part.dataset.version || old.dataset.version !== part.dataset.version) {
        replace(old, part);
      }
    }
    if (region.querySelector("[data-settled]")) {
      stop("Finished");
    }
    countDown();
  }

  function stop(word) {
    isOver = true;
    clearTimeout(waiting);
    button.hidden = true;
    say(word, "");
  }

  async function ask() {
    if (isOver || isPaused || isAsking || document.hidden) {
      return;
    }
    isAsking = true;
    clearTimeout(waiting);
    try {
      const headers = { "If-None-Match": `"${tag}"`, "X-Tab": tab };
      const answer = await fetch(region.dataset.live, { headers, cache: "no-store", redirect: "manual" });
      if (answer.type === "opaqueredirect" || answer.status === 403 || answer.status === 404) {
        stop("Reload the page");
        return;
      }
      seconds = Number(answer.headers.get("Retry-After")) || seconds;
      if (answer.status === 200) {
        tag = answer.headers.get("ETag").replace(/^W\//, "").replaceAll('"', "");
        update(await answer.text());
      }
      if (!isOver) {
        say(answer.ok || answer.status === 304 ? "Live" : "Waiting", answer.ok || answer.status === 304 ? "good" : "warn");
      }
    } catch {
      seconds = 10;
      say("Waiting", "warn");
    } finally {
      isAsking = false;
    }
    // Tabs that were opened at once must not ask at once for ever.
    waiting = setTimeout(ask, seconds * 1000 * (0.85 + 0.3 * Math.random()));
  }

  button.addEventListener("click", () => {
    isPaused = !isPaused;
    button.textContent = isPaused ? "Go on" : "Pause";
    say(isPaused ? "Paused" : "Live", isPaused ? "warn" : "good");
    ask();
  });
  document.addEventListener("visibilitychange", ask);
  waiting = setTimeout(ask, seconds * 1000 * Math.random());
}

// A time that is left, in seconds. Without this file, the time at which it ends.

function countDown() {
  for (const place of document.querySelectorAll("[data-countdown]")) {
    const left = Math.ceil((new Date(place.dataset.countdown) - Date.now()) / 1000);
    const words = left > 0 ? `The code is valid for ${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")} more.` : "The code has expired.";
    place.textContent = words;
  }
}

countDown();
setInterval(countDown, 1000);
