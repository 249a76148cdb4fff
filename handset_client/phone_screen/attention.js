// Sound and desktop notification. With several tabs open only one speaks up: the one that holds the lock.

const SOUND = "blind-relay-sound";
const NOTIFY = "blind-relay-notify";
const PUT_AWAY = "blind-relay-hint-";

let audio = null;
let changed = () => {};
let leads = false;
navigator.locks?.request("blind-relay-voice", () => {
  leads = true;
  return new Promise(() => {}); // held until this tab is closed
});

// Browsers play nothing before the person has touched the page, and not everything counts: a finger when it is up
// again, Esc and Shift never. So each is tried until one does. A click, not the press before it: the hint goes, and
// what is under a finger must not move.
for (const event of ["click", "keydown"]) addEventListener(event, () => wake(), { capture: true });

const audible = () => audio?.state === "running";

/** Resolves once the page may be heard; before the person's first touch that counts, never. */
async function wake() {
  if (audio === null) {
    if (navigator.userActivation?.hasBeenActive === false) return; // the browser would only warn
    audio = new AudioContext();
    audio.addEventListener("statechange", () => changed());
  }
  if (!audible()) await audio.resume();
}

export const soundOn = () => localStorage.getItem(SOUND) !== "off";
export const notifyOn = () =>
  localStorage.getItem(NOTIFY) === "on" && "Notification" in window && Notification.permission === "granted";

export function setSound(on) {
  localStorage.setItem(SOUND, on ? "on" : "off");
  if (on) wake().then(() => chime("request", true));
  changed();
}

/** `callback` is called when what is missing may have changed. */
export function watchAttention(callback) {
  changed = callback;
}

/** What keeps a request from calling out, as the end of a text's key (`hint_…`); null when nothing does. */
export function missing() {
  if (!soundOn()) {
    if (!isPutAway("sound")) return "sound";
  } else if (!audible()) return "touch";
  if (!("Notification" in window) || notifyOn()) return null;
  const why = Notification.permission === "denied" ? "denied" : "notify";
  return isPutAway(why) ? null : why;
}

/** The person knows, and wants it so. */
export function putAway(hint) {
  localStorage.setItem(PUT_AWAY + hint, "away");
  changed();
}

const isPutAway = (hint) => localStorage.getItem(PUT_AWAY + hint) !== null;

/** Ask the browser if need be. False when it says no. */
export async function setNotify(on) {
  if (on && "Notification" in window && Notification.permission !== "granted") await Notification.requestPermission();
  const allowed = on && "Notification" in window && Notification.permission === "granted";
  localStorage.setItem(NOTIFY, allowed ? "on" : "off");
  changed();
  return allowed || !on;
}

const TUNES = {
  request: [[659, 0], [880, 0.16], [659, 0.5], [880, 0.66]],
  completed: [[784, 0], [1047, 0.13]],
  other: [[392, 0], [330, 0.18]],
};

/** A short tune; silent where the person switched it off or has not touched the page yet. */
export function chime(tune, always = false) {
  if (!always && (!leads || !soundOn())) return;
  if (!audible()) return;
  for (const [pitch, after] of TUNES[tune] ?? TUNES.other) {
    const start = audio.currentTime + after;
    const tone = new OscillatorNode(audio, { type: "sine", frequency: pitch });
    const loudness = new GainNode(audio, { gain: 0 });
    loudness.gain.setValueAtTime(0, start);
    loudness.gain.linearRampToValueAtTime(0.16, start + 0.02);
    loudness.gain.exponentialRampToValueAtTime(0.001, start + 0.32);
    tone.connect(loudness).connect(audio.destination);
    tone.start(start);
    tone.stop(start + 0.34);
  }
}

/** A notification, where the person looks elsewhere; `id` replaces an earlier one of the same payment. */
export function notify(id, title, body) {
  if (!leads || document.hasFocus() || !notifyOn()) return;
  const notification = new Notification(title, { body, tag: id, icon: "/icon.svg" });
  notification.addEventListener("click", () => {
    window.focus();
    notification.close();
  });
}
