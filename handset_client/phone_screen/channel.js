// The wire to the phone program: a session by one-time link, then one WebSocket that reconnects.

const KEY = "blind-relay-key";
const LOCKED_OUT = 4401;
const PAUSES = [250, 500, 1000, 2000, 4000];
const GOING_AWAY = 1001;

/**
 * `heard` gets each message; `became` gets "open", "offline", "stopped" or "locked" and the texts if known.
 *
 * Once the program has said goodbye, or has not answered for as long as all pauses, nothing is fetched any
 * more: on loopback a program that does not answer is not there. It knows no old session when it is started
 * again; the tab that opens its new link tells the others.
 */
export class Channel {
  #heard;
  #became;
  #socket = null;
  #token = null;
  #failures = 0;
  #timer = 0;
  #over = false;
  #others = new BroadcastChannel("blind-relay");

  constructor(heard, became) {
    this.#heard = heard;
    this.#became = became;
    this.#others.addEventListener("message", () => this.retry());
    addEventListener("hashchange", () => this.start());
    addEventListener("online", () => this.#wake());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.#wake();
    });
  }

  async start() {
    const token = location.hash.slice(1);
    if (token) {
      history.replaceState(null, "", location.pathname);
      this.#token = token;
    }
    await this.retry();
  }

  /** Connect now, whatever was given up before. */
  async retry() {
    this.#over = false;
    this.#failures = 0;
    await this.#connect();
  }

  /** Send a command; false when there is no connection, and nothing is kept for later. */
  send(command) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(command));
    return true;
  }

  /** A link's token for a session; kept for the next attempt where nobody answers. */
  async #exchange() {
    const token = this.#token;
    if (token === null) return;
    this.#token = null;
    try {
      const answer = await fetch("/session", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ token }),
      });
      if (!answer.ok) return;
      localStorage.setItem(KEY, (await answer.json()).key);
      this.#others.postMessage("another session");
    } catch (error) {
      this.#token = token;
      throw error;
    }
  }

  async #connect() {
    clearTimeout(this.#timer);
    let session;
    try {
      await this.#exchange();
      if (this.#socket !== null) return;
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
      if (event.code === GOING_AWAY) this.#stop();
      else this.#again();
    });
  }

  #again() {
    if (this.#failures === PAUSES.length) {
      this.#stop();
      return;
    }
    this.#became("offline", null);
    this.#soon(PAUSES[this.#failures++]);
  }

  #stop() {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#became("stopped", null);
  }

  #wake() {
    if (this.#socket === null && !this.#over) this.#soon(0);
  }

  #soon(pause) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), pause);
  }
}
