// The wire to the phone program: a session by one-time link, then one WebSocket that reconnects.

const KEY = "blind-relay-key";
const LOCKED_OUT = 4401;
const PAUSES = [250, 500, 1000, 2000, 4000];

/** `heard` gets each message; `became` gets "open", "offline", "stopped" or "locked" and the texts if known. */
export class Channel {
  #heard;
  #became;
  #socket = null;
  #failures = 0;
  #timer = 0;
  #switchedOff = false;

  constructor(heard, became) {
    this.#heard = heard;
    this.#became = became;
    addEventListener("hashchange", () => this.start());
    addEventListener("online", () => this.#soon(0));
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && this.#socket === null) this.#soon(0);
    });
  }

  async start() {
    const token = location.hash.slice(1);
    if (token) {
      history.replaceState(null, "", location.pathname);
      const answer = await fetch("/session", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ token }),
      });
      if (answer.ok) localStorage.setItem(KEY, (await answer.json()).key);
    }
    await this.#connect();
  }

  /** Send a command; false when there is no connection, and nothing is kept for later. */
  send(command) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(command));
    return true;
  }

  async #connect() {
    clearTimeout(this.#timer);
    if (this.#socket !== null) return;
    let session;
    try {
      session = await (await fetch("/session")).json();
    } catch {
      this.#again();
      return;
    }
    const key = localStorage.getItem(KEY);
    if (!session.open || key === null) {
      this.#became("locked", session.texts);
      return;
    }
    if (this.#socket !== null) return;
    const socket = new WebSocket(`ws://${location.host}/channel`);
    this.#socket = socket;
    socket.addEventListener("open", () => socket.send(JSON.stringify({ type: "hello", key })));
    socket.addEventListener("message", (event) => {
      if (this.#socket !== socket) return;
      this.#failures = 0;
      this.#switchedOff = false;
      const message = JSON.parse(event.data);
      this.#heard(message);
      if (message.type === "state") this.#became("open", null);
    });
    socket.addEventListener("close", (event) => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      if (event.code === LOCKED_OUT) {
        this.#became("locked", session.texts);
        return;
      }
      this.#switchedOff ||= event.code === 1001;
      this.#again();
    });
  }

  #again() {
    this.#became(this.#switchedOff ? "stopped" : "offline", null);
    this.#soon(PAUSES[Math.min(this.#failures++, PAUSES.length - 1)]);
  }

  #soon(pause) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), pause);
  }
}
