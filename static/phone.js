// The phone's page works without this file, by reloading itself. This keeps it live, reads calls aloud and lets it ring.
const root = document.querySelector("[data-phone]");
const part = root.querySelector("[data-phone-part]");
const news = root.querySelector("[data-phone-news]");
const trouble = root.querySelector("[data-trouble]");
const speakBox = root.querySelector("[data-speak]");
const ringBox = root.querySelector("[data-ring]");
const ASK_MILLISECONDS = 1000;
const title = document.title;

let picked = new URLSearchParams(location.search).get("call") || "";
let isFirm = false; // picked from the list: shown until another phone rings
let ringing = [];
let shown = null;
let said = "";
let rung = "";
let clockAhead = 0;
let waiting = null;
let isAsking = false;
let isAway = false;

// The reader's choices are kept in this browser.
for (const [box, name] of [[speakBox, "phone-speak"], [ringBox, "phone-ring"]]) {
  const kept = localStorage.getItem(name);
  if (kept !== null) {
    box.checked = kept === "yes";
  }
  box.addEventListener("change", () => {
    localStorage.setItem(name, box.checked ? "yes" : "no");
    if (box === speakBox && !box.checked) {
      stopSpeaking();
    }
    update();
  });
}
root.querySelector("[data-phone-sound]").hidden = false;

function phone() {
  return part.querySelector(".phone");
}

// Speech

function stopSpeaking() {
  if ("speechSynthesis" in window) {
    speechSynthesis.cancel();
  }
}

function voiceFor(language) {
  const voices = speechSynthesis.getVoices();
  const base = language.split("-")[0];
  return voices.find((voice) => voice.lang.replace("_", "-") === language)
    || voices.find((voice) => voice.lang.split(/[-_]/)[0] === base);
}

function speak(text, language) {
  if (!("speechSynthesis" in window)) {
    root.querySelector("[data-no-voice]").hidden = false;
    return;
  }
  const voice = voiceFor(language);
  root.querySelector("[data-no-voice]").hidden = Boolean(voice);
  const utterance = new SpeechSynthesisUtterance(text);
  utterance.lang = language;
  if (voice) {
    utterance.voice = voice;
  }
  utterance.rate = 0.95;
  speechSynthesis.cancel();
  speechSynthesis.speak(utterance);
}

// The ring: two tones, as a telephone's, made here

let sound = null;
let ringTimer = null;

function ringOnce() {
  sound = sound || new AudioContext();
  const now = sound.currentTime;
  for (const frequency of [440, 480]) {
    const tone = sound.createOscillator();
    const volume = sound.createGain();
    tone.frequency.value = frequency;
    volume.gain.setValueAtTime(0, now);
    volume.gain.linearRampToValueAtTime(0.08, now + 0.05);
    volume.gain.setValueAtTime(0.08, now + 1);
    volume.gain.linearRampToValueAtTime(0, now + 1.1);
    tone.connect(volume).connect(sound.destination);
    tone.start(now);
    tone.stop(now + 1.15);
  }
}

function ring(isRinging) {
  const isWanted = isRinging && ringBox.checked;
  if (isWanted && ringTimer === null) {
    ringOnce();
    ringTimer = setInterval(ringOnce, 3000);
  } else if (!isWanted && ringTimer !== null) {
    clearInterval(ringTimer);
    ringTimer = null;
    sound.suspend();
    sound = null;
  }
}

// What follows from what is shown

function update() {
  const now = phone();
  const call = now.dataset.call || "";
  const state = now.dataset.state || "idle";
  const isRinging = state === "ringing";
  document.title = isRinging ? `☎ ${now.dataset.number} rings` : title;
  ring(isRinging);
  const key = `${call} ${state}`;
  if (key !== rung) {
    rung = key;
    const words = { ringing: `Incoming call to ${now.dataset.number}`, speaking: "The call is speaking", ended: "The call has ended" };
    news.textContent = words[state] || "";
  }
  const quote = now.querySelector("[data-speech]");
  const speech = state === "speaking" && quote ? `${call} ${quote.dataset.speech}` : "";
  if (speech && speech !== said && speakBox.checked) {
    speak(quote.textContent, quote.lang);
  } else if (!speech && said) {
    stopSpeaking();
  }
  said = speech;
  for (const time of part.querySelectorAll("time[data-clock]:not([title])")) {
    time.title = time.textContent;
    time.textContent = new Date(time.dateTime).toLocaleTimeString();
  }
  tick();
}

function tick() {
  for (const element of part.querySelectorAll("[data-since]")) {
    const since = Date.parse(element.dataset.since);
    if (!Number.isNaN(since)) {
      const seconds = Math.max(0, Math.floor((Date.now() + clockAhead - since) / 1000));
      element.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    }
  }
}

function show(text) {
  if (text === shown) {
    return;
  }
  shown = text;
  const focused = part.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  part.innerHTML = text;
  const again = focused && part.querySelector(`[data-key="${CSS.escape(focused)}"]`);
  const next = again || (focused && part.querySelector(".phone button, .phone a"));
  if (next) {
    next.focus();
  }
  const nowRinging = part.querySelector("[data-ringing]").dataset.ringing.split(" ").filter(Boolean);
  if (isFirm && nowRinging.some((call) => !ringing.includes(call) && call !== picked)) {
    isFirm = false;
  }
  ringing = nowRinging;
  update();
}

async function ask() {
  clearTimeout(waiting);
  if (isAsking) {
    return;
  }
  isAsking = true;
  try {
    const query = new URLSearchParams({ call: picked, firm: isFirm ? "1" : "0", unseen: document.hidden ? "1" : "0" });
    const response = await fetch(`${root.dataset.screen}?${query}`);
    if (response.redirected) {
      location.reload(); // the session is over
      return;
    }
    if (!response.ok) {
      throw new Error(String(response.status));
    }
    clockAhead = Date.parse(response.headers.get("Date")) - Date.now() || 0;
    show(await response.text());
    if (isAway) {
      isAway = false;
      trouble.textContent = "";
    }
  } catch {
    isAway = true;
    trouble.textContent = "The service does not answer. The page tries again every second.";
  } finally {
    isAsking = false;
    clearTimeout(waiting);
    waiting = setTimeout(ask, ASK_MILLISECONDS);
  }
}

part.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const data = new FormData(form, event.submitter);
  data.set("csrf_token", root.dataset.csrf);
  picked = phone().dataset.call;
  isFirm = false;
  try {
    const response = await fetch(form.action, { method: "POST", body: new URLSearchParams(data) });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const notice = page.querySelector("main .notice");
    trouble.textContent = notice ? notice.textContent : "";
  } catch {
    trouble.textContent = "The service does not answer. Try again.";
  }
  await ask();
});

part.addEventListener("click", (event) => {
  const link = event.target.closest("[data-pick]");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    picked = link.dataset.pick;
    isFirm = true;
    ask();
  }
});

addEventListener("pagehide", () => {
  stopSpeaking();
  navigator.sendBeacon(root.dataset.leave, new URLSearchParams({ csrf_token: root.dataset.csrf }));
});
document.addEventListener("visibilitychange", ask);
setInterval(tick, 1000);
if ("speechSynthesis" in window) {
  speechSynthesis.getVoices(); // some browsers load them when they are first asked for
}
update();
ask();
