// Takes the link's token out of the address, where no server sees it, and into the form. Without this file it is pasted.
"use strict";

const field = document.getElementById("token");

async function tellWhatFor(token) {
  const place = document.getElementById("invited");
  if (!place) {
    return;
  }
  const answer = await fetch("/api/auth/invitation-details", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token }),
  });
  const invitation = await answer.json();
  place.textContent = answer.ok ? `For ${invitation.email}, as ${invitation.role}.` : invitation.error;
}

function takeLink() {
  // A mail scanner may have encoded the link: the server reads what it made of it.
  const changed = location.hash.includes("ltl_") ? location.hash : null;
  const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? changed;
  if (token) {
    field.value = token;
    // Neither the address bar nor the history keeps it.
    history.replaceState(null, "", location.pathname);
  }
  const place = field.closest("[data-link]");
  place.hidden = field.value !== "" && (Boolean(token) || !("refused" in place.dataset));
  if (place.hidden) {
    place.parentElement.querySelector("[data-link] ~ .field input, [data-link] ~ button").focus();
  }
  if (field.value) {
    tellWhatFor(field.value).catch(() => {});
  }
}

if (field) {
  takeLink();
  addEventListener("hashchange", takeLink);
}
