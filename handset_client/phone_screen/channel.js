// The wire to the phone program: a session by one-time link, then one WebSocket that reconnects.

const KEY = "blind-relay-key";
const LINK = "blind-relay-link";
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
  #exchanging = null;
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
      // Of this tab alone, and over a reload: with its own secret the page may ask again for what it did not get.
      const attempt = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
      sessionStorage.setItem(LINK, JSON.stringify({ token, attempt }));
      history.replaceState(null, "", location.pathname);
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

  /** A link's token for a session; kept until there is an answer. One at a time: the latest session counts. */
  async #exchange() {
    this.#exchanging ??= this.#ask().finally(() => {
      this.#exchanging = null;
    });
    await this.#exchanging;
  }

  async #ask() {
    const link = sessionStorage.getItem(LINK);
    if (link === null) return;
    const answer = await fetch("/session", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: link,
    });
    if (answer.ok) {
      localStorage.setItem(KEY, (await answer.json()).key);
      this.#others.postMessage("another session");
    }
    // A newer link may have been opened in this tab meanwhile.
    if (sessionStorage.getItem(LINK) === link) sessionStorage.removeItem(LINK);
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
