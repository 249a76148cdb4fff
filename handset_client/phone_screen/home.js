// Home: how the connections are, and what was paid.

import { missing, putAway, setNotify, setSound } from "./attention.js";
import { drawing, el, icon, say } from "./dom.js";

const MARKS = { completed: "check", not_settled: "close", unknown: "question", see_reader: "eye" };
const WORDS = { completed: "paid", not_settled: "not_paid", unknown: "not_known", see_reader: "see_reader" };

export const markOf = (outcome) => MARKS[outcome];
export const wordOf = (outcome) => WORDS[outcome];

export function home({ texts, state, go, settings }) {
  const lights = { issuer: row("bank", texts.bank), reader: row("reader", texts.reader) };
  const number = el("span", { class: "number" });
  const numberRow = el(
    "div",
    { class: "row", hidden: true },
    el("span", { class: "lead" }, icon("phone")),
    el("div", { class: "words" }, el("strong", {}, texts.number), number, el("span", {}, texts.number_hint)),
  );
  const past = el("div", { class: "past-place" });
  const hintPlace = el("div", { class: "hint-place" });
  let hinted = null;
  let drawn = null;

  function hint() {
    const what = missing();
    if (what === hinted) return;
    hinted = what;
    hintPlace.replaceChildren(...(what === null ? [] : [hintOf(what)]));
  }

  function hintOf(what) {
    const turnOn = { sound: () => setSound(true), notify: () => setNotify(true) }[what];
    // The button goes with its hint: the keyboard goes on from the heading.
    const then = (action) => async () => {
      await action();
      element.querySelector("h1").focus({ preventScroll: true });
    };
    return el(
      "div",
      { class: "hint" },
      icon("info"),
      el("p", {}, texts[`hint_${what}`]),
      turnOn ? el("button", { type: "button", class: "button text", onclick: then(turnOn) }, texts.hint_on) : null,
      what === "touch"
        ? null
        : el("button", { type: "button", class: "icon-button", "aria-label": texts.hint_away, onclick: then(() => putAway(what)) }, icon("close")),
    );
  }

  function update(next) {
    light(lights.issuer, next.issuer.light, next.issuer.text ?? { on: texts.bank_connected, trouble: texts.bank_away }[next.issuer.light] ?? texts.bank_connecting);
    light(lights.reader, next.reader.light, next.reader.text ?? { on: texts.reader_ready, busy: texts.reader_looking }[next.reader.light] ?? texts.reader_idle);
    numberRow.hidden = next.issuer.number === "";
    say(number, next.issuer.number);
    hint();
    const key = next.history.map((item) => item.id + item.outcome).join();
    if (key !== drawn) {
      drawn = key;
      past.replaceChildren(...(next.history.length ? [list(next.history, texts, next.language, go)] : [nothing(texts)]));
    }
  }

  const element = el(
    "div",
    { class: "home" },
    el("header", { class: "bar" }, el("h1", { tabindex: "-1" }, texts.home), settings()),
    el(
      "div",
      { class: "content" },
      el("section", { class: "group", "aria-label": texts.connections }, lights.issuer.element, lights.reader.element, numberRow),
      hintPlace,
      el("h2", { class: "section" }, texts.history),
      past,
    ),
  );
  update(state);
  return { element, update };
}

function row(name, title) {
  const words = el("span", {});
  const spinner = el("span", { class: "spinner", "aria-hidden": "true", hidden: true });
  const element = el(
    "div",
    { class: "row" },
    el("span", { class: "lead" }, icon(name)),
    el("div", { class: "words" }, el("strong", {}, title), words),
    spinner,
  );
  return { element, words, spinner };
}

function light(row, light, text) {
  row.element.dataset.light = light;
  row.spinner.hidden = light !== "busy";
  say(row.words, text);
}

function list(history, texts, language, go) {
  const when = new Intl.DateTimeFormat(language, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
  return el(
    "ul",
    { class: "past", "aria-label": texts.history },
    ...history.map((item) =>
      el(
        "li",
        { "data-outcome": item.outcome },
        el(
          "button",
          { type: "button", onclick: () => go({ name: "detail", id: item.id }) },
          el("span", { class: `lead tone-${item.outcome}` }, icon(MARKS[item.outcome])),
          el("span", { class: "what" }, el("strong", {}, item.merchant), el("span", {}, item.order), el("span", { class: "when" }, when.format(item.at * 1000))),
          el("span", { class: "sum" }, el("strong", {}, item.amount.text), el("span", {}, texts[WORDS[item.outcome]])),
        ),
      ),
    ),
  );
}

function nothing(texts) {
  return el("div", { class: "empty" }, drawing("empty"), el("strong", {}, texts.history_empty), el("span", {}, texts.history_empty_hint));
}
