// A shop asks: merchant, amount, order, countdown, Approve and Decline.

import { blockDialog } from "./block.js";
import { amount, el, fill, icon, say, svg } from "./dom.js";

const ROUND = 2 * Math.PI * 57;
const SETTLE = 500;
const SAID_ALOUD = [30, 10, 5];
const LATE = 10;

export function request({ texts, state, send, announce }) {
  const payment = state.payment;
  const shown = performance.now();
  const until = shown + payment.seconds_left * 1000;
  const whole = Math.max(payment.seconds, payment.seconds_left, 1);
  const left = svg("circle", { class: "left", cx: 60, cy: 60, r: 57, "stroke-dasharray": ROUND });
  const ring = el(
    "div",
    { class: "ring", "aria-hidden": "true" },
    svg("svg", { viewBox: "0 0 120 120" }, svg("circle", { class: "track", cx: 60, cy: 60, r: 57 }), left),
    el("span", { class: "initial" }, [...payment.merchant][0].toUpperCase()),
  );
  const time = el("p", { class: "time", role: "timer", "aria-live": "off" });
  const readerWords = el("span", {});
  const readerSign = el("span", { "aria-hidden": "true" });
  const readerLine = el("p", { class: "reader-line" }, readerSign, readerWords);
  // A click or key that was on its way to something else must not pay: the buttons wake up late.
  const approve = button("approve", "filled", "check", true);
  const decline = button("decline", "refuse", "close", false);
  const asking = blockDialog({ texts }, payment, SETTLE, () => press(false, true));
  const block = el("button", { type: "button", class: "button text quiet wide", disabled: true, onclick: askToBlock }, texts.block);
  let answered = false;
  let awake = false;
  let said = Infinity;

  function button(name, look, sign, approved) {
    return el(
      "button",
      { type: "button", class: `button big ${look}`, disabled: true, onclick: () => press(approved) },
      icon(sign),
      texts[name],
    );
  }

  function press(approved, blocks = false) {
    if (answered || !awake || asking.dialog.open) return;
    answered = send({ type: "press", payment_id: payment.id, approved, block: blocks });
    refresh();
  }

  function askToBlock() {
    if (!answered && awake) asking.open();
  }

  function escape() {
    if (asking.dialog.open) asking.close();
    else press(false);
  }

  function refresh() {
    approve.disabled = decline.disabled = block.disabled = answered || !awake;
    if (answered) asking.close();
  }

  function tick() {
    const seconds = Math.max(0, (until - performance.now()) / 1000);
    const whole_seconds = Math.ceil(seconds);
    left.style.strokeDashoffset = ROUND * (1 - Math.min(1, seconds / whole));
    ring.toggleAttribute("data-late", seconds <= LATE);
    say(time, answered ? texts.answering : fill(texts.seconds_left, { seconds: whole_seconds }));
    const passed = SAID_ALOUD.find((mark) => whole_seconds <= mark && mark < said && seconds > mark - 1);
    if (passed !== undefined && !answered) {
      said = passed;
      announce(fill(texts.seconds_left, { seconds: whole_seconds }));
    }
  }

  function update(next) {
    answered = next.payment.answered;
    refresh();
    readerLine.dataset.light = next.reader.light;
    const sign = { on: "check", trouble: "alert" }[next.reader.light] ?? "spinner";
    if (readerSign.dataset.sign !== sign) {
      readerSign.dataset.sign = sign;
      readerSign.replaceChildren(sign === "spinner" ? el("span", { class: "spinner" }) : icon(sign));
    }
    say(readerWords, next.reader.text ?? next.payment.text);
    tick();
  }

  const element = el(
    "section",
    { class: "request", "aria-labelledby": "request-title" },
    el(
      "div",
      { class: "top" },
      el("p", { class: "eyebrow" }, texts.request),
      ring,
      time,
      el("h1", { id: "request-title", tabindex: "-1" }, payment.merchant),
      el("p", { class: "wants" }, texts.wants),
      amount(payment.amount, "display"),
      el("p", { class: "order" }, el("span", {}, texts.for), payment.order),
      readerLine,
    ),
    el("div", { class: "foot" }, el("p", { class: "note" }, texts.check), el("div", { class: "choice" }, decline, approve), block),
    asking.dialog,
  );
  update(state);
  const ticking = setInterval(tick, 200);
  const waking = setTimeout(() => {
    awake = true;
    refresh();
  }, SETTLE);
  return {
    element,
    update,
    keys: { a: () => press(true), d: () => press(false), b: askToBlock, Escape: escape },
    leave() {
      clearInterval(ticking);
      clearTimeout(waking);
    },
  };
}
