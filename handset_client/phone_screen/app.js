// Draws what the phone program says. The state comes whole each time, so that all tabs show the same.

import { chime, notify, watchAttention } from "./attention.js";
import { Channel } from "./channel.js";
import { drawing, el, fill, icon, say } from "./dom.js";
import { home, wordOf } from "./home.js";
import { progress } from "./progress.js";
import { receipt } from "./receipt.js";
import { request } from "./request.js";
import { settings } from "./settings.js";

const DOUBTFUL = new Set(["unknown", "see_reader"]);
const screen = document.getElementById("screen");

let texts = null;
let state = null;
let farewell = null; // why the phone program ended, where it said so
let place = { name: "home" };
let view = null;
let viewKey = null;
let connection = "connecting";
let snackNumber = 0; // on show, or closed by the person
const offline = el("p", { class: "banner offline", role: "status", hidden: true });
const awayWords = el("p");
const away = el("div", { class: "banner", hidden: true }, icon("alert"), awayWords);
const doubts = el("div");
let doubtsKey = "";
const banners = el("div", { class: "banners" }, offline, away, doubts);

const channel = new Channel(heard, became);

const bankAway = (seen) => Boolean(seen?.payment) && seen.issuer.light === "trouble";

function heard(message) {
  if (message.type === "texts") {
    texts = message.texts;
    furnish();
  } else if (message.type === "state") {
    const before = state;
    state = message;
    document.documentElement.lang = state.language;
    document.documentElement.dataset.theme = state.theme;
    if (state.payment) place = { name: "home" }; // where the person is after it
    draw();
    callOut(before);
  }
}

function became(next, words) {
  connection = next;
  if (next === "stopped") farewell = state?.stopped ?? farewell;
  if (next === "open") farewell = null;
  // What was on show is over or unknown: it must not be drawn again as if it were new.
  if (next === "stopped" || next === "locked") state = null;
  if (words) {
    texts = words;
    furnish();
  }
  if (texts !== null) draw();
}

/** What to draw, and a key that changes when another view must be built. */
function wanted() {
  const tools = { texts, state, go, send: (command) => channel.send(command), announce, settings: settingsButton };
  if (connection === "locked" || connection === "stopped") return [connection, () => shut(connection)];
  if (state === null) return null;
  const { payment, receipt: ended, language } = state;
  if (payment?.deciding) return [`request ${payment.id} ${language}`, () => request(tools)];
  if (payment) return [`progress ${payment.id} ${language}`, () => progress(tools)];
  if (ended) {
    const close = () => channel.send({ type: "done", payment_id: ended.id });
    return [`receipt ${ended.id} ${ended.outcome} ${language}`, () => receipt(tools, ended, close, false)];
  }
  if (place.name === "settings") return [`settings ${language}`, () => settings(tools, () => go({ name: "home" }))];
  const item = place.name === "detail" ? state.history.find((past) => past.id === place.id) : undefined;
  if (item) return [`detail ${item.id} ${item.outcome} ${language}`, () => receipt(tools, item, () => go({ name: "home" }), true)];
  return [`home ${language}`, () => home(tools)];
}

function draw() {
  const next = wanted();
  if (next !== null) {
    const [key, build] = next;
    if (key === viewKey) view.update(state);
    else show(key, build());
  }
  drawBanners();
  snack();
}

/** What must not be missed, above whichever view it is. */
function drawBanners() {
  offline.hidden = connection !== "offline";
  if (!offline.hidden) say(offline, texts.offline);
  // Home says it in the bank's own row.
  away.hidden = connection !== "open" || !bankAway(state);
  if (!away.hidden) say(awayWords, state.issuer.text);
  const open = connection === "locked" || connection === "stopped" ? [] : (state?.doubts ?? []);
  const key = JSON.stringify(open);
  if (key !== doubtsKey) {
    doubtsKey = key;
    doubts.replaceChildren(...open.map(doubtBanner));
  }
  if (banners.parentNode !== screen) screen.prepend(banners);
}

/** A payment in doubt whose receipt had to give way: it stays until the person has put it away. */
function doubtBanner({ id, text }) {
  const close = () => channel.send({ type: "done", payment_id: id });
  return el(
    "div",
    { class: "banner" },
    icon("alert"),
    el("p", {}, text),
    el("button", { type: "button", class: "icon-button", "aria-label": texts.dismiss, onclick: close }, icon("close")),
  );
}

function show(key, next) {
  const first = viewKey === null;
  const sameView = !first && viewKey.split(" ").slice(0, -1).join() === key.split(" ").slice(0, -1).join();
  const focused = sameView ? focusPath() : null;
  view?.leave?.();
  screen.replaceChildren(next.element);
  view = next;
  viewKey = key;
  if (!sameView) screen.scrollTop = 0;
  // Where a view was replaced under the person, the keyboard and the screen reader go to its heading.
  if (focused !== null) screen.querySelector(focused)?.focus();
  else if (!first) screen.querySelector("h1")?.focus({ preventScroll: true });
}

/** After a change of language the same control keeps the focus. */
function focusPath() {
  const active = document.activeElement;
  if (!screen.contains(active)) return null;
  return active.name ? `input[name="${active.name}"][value="${CSS.escape(active.value)}"]` : null;
}

function go(next) {
  place = next;
  draw();
}

function settingsButton() {
  return el(
    "button",
    { type: "button", class: "icon-button", "aria-label": texts.settings, onclick: () => go({ name: "settings" }) },
    icon("settings"),
  );
}

function shut(which) {
  const title = which === "locked" ? texts.closed : texts.stopped;
  const text = which === "locked" ? texts.closed_text : (farewell ?? texts.stopped_text);
  const element = el(
    "section",
    { class: "shut" },
    el("span", { class: "lead" }, icon(which === "locked" ? "lock" : "power")),
    el("h1", { tabindex: "-1" }, title),
    el("p", {}, text),
    which === "stopped" ? el("button", { type: "button", class: "button tonal", onclick: () => channel.retry() }, texts.reconnect) : null,
  );
  return { element, update() {} };
}

/** Title, sound, notification and announcement for what is new. */
function callOut(before) {
  const { payment, receipt: ended } = state;
  const asking = payment?.deciding ? payment : null;
  document.title = asking ? `● ${asking.merchant} · ${asking.amount.text}` : texts.title;
  const doubted = before === null ? [] : state.doubts.filter(({ id }) => !before.doubts.some((known) => known.id === id));
  const doubtWords = doubted.map(({ text }) => text).join(" ");
  if (doubtWords) alarm(doubtWords);
  for (const { id, text } of doubted) notify(id, texts.not_known, text);
  if (asking && before?.payment?.id !== asking.id) {
    const words = fill(texts.request_of, { merchant: asking.merchant, amount: asking.amount.text });
    alarm(`${doubtWords} ${words} ${asking.order}`.trim());
    chime("request");
    notify(asking.id, texts.request, words);
  }
  if (ended && before !== null && before.receipt?.id !== ended.id) {
    alarm(`${ended.happened} ${ended.next}`);
    chime(ended.outcome === "completed" ? "completed" : "other");
    notify(ended.id, texts[wordOf(ended.outcome)], ended.happened);
  }
  // Once: the seconds to the next try would be said over and over.
  if (bankAway(state) && !bankAway(before)) announce(state.issuer.text);
  callOutLearned(before);
}

/** What became of payments that had ended in doubt, in this state and not in the one before. */
function callOutLearned(before) {
  const doubts = new Set(before?.history.filter((past) => DOUBTFUL.has(past.outcome)).map((past) => past.id));
  for (const past of state.history) {
    if (!doubts.has(past.id) || DOUBTFUL.has(past.outcome)) continue;
    const words = fill(texts.known_now, { happened: past.happened });
    alarm(`${words} ${past.next}`);
    chime(past.outcome === "completed" ? "completed" : "other");
    notify(past.id, texts[wordOf(past.outcome)], words);
  }
}

function announce(words) {
  say(document.getElementById("announce"), words);
}

function alarm(words) {
  say(document.getElementById("alarm"), words);
}

function snack() {
  const box = document.getElementById("snack");
  const notice = connection === "open" ? state.notice : null;
  if (notice === null) {
    box.classList.remove("shown");
    if (connection === "locked" || connection === "stopped") snackNumber = 0; // the next program counts anew
    return;
  }
  if (notice.number === snackNumber) return;
  snackNumber = notice.number;
  const close = () => box.classList.remove("shown");
  box.replaceChildren(
    el("p", { role: "status" }, notice.text),
    el("button", { type: "button", class: "icon-button", "aria-label": texts.dismiss, onclick: close }, icon("close")),
  );
  box.classList.add("shown");
}

/** What stands around the phone on a wide screen. */
function furnish() {
  say(document.getElementById("skip"), texts.skip);
  const mark = el("div", { class: "mark" }, drawing("mark"));
  const about = document.getElementById("about");
  about.setAttribute("aria-label", texts.title);
  about.replaceChildren(mark, el("p", { class: "name" }, texts.title), el("p", { class: "tagline" }, texts.tagline), el("p", { class: "more" }, texts.tagline_more));
  const line = (keys, words) => el("li", {}, el("span", { class: "keys" }, ...keys.map((key) => el("kbd", {}, key))), el("span", {}, words));
  const hints = document.getElementById("hints");
  hints.setAttribute("aria-label", texts.keys_title);
  hints.replaceChildren(
    el("h2", {}, texts.keys_title),
    el("ul", {}, line(["A"], texts.key_approve), line(["D"], texts.key_decline), line(["B"], texts.key_block), line(["Enter", "Esc"], texts.key_done)),
  );
  document.getElementById("status-icons").replaceChildren(icon("lock"), icon("phone"));
}

addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  // Enter on a button or a choice is that button's own.
  if (event.key === "Enter" && event.target.closest?.("button, a, input")) return;
  const action = view?.keys?.[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (action) {
    event.preventDefault();
    action();
  }
});

function clock() {
  say(document.getElementById("clock"), new Intl.DateTimeFormat(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", hour12: false }).format(Date.now()));
}
clock();
setInterval(clock, 5000);
watchAttention(() => {
  if (texts !== null) draw();
});
channel.start();
