// Server-sent events, as the chat routes write them. Pure: bytes become text elsewhere.

const maxEventCharacters = 8 << 20; // of one event; a longer one is no answer of a chat

/** EventParser takes text as it arrives, cut anywhere, and gives the data of each event that is complete. */
export class EventParser {
  #rest = "";

  /** push returns the data of the events that end in what has arrived; comments and other fields are left out. */
  push(text) {
    this.#rest += text;
    const events = this.#rest.split(/\r?\n\r?\n/);
    this.#rest = events.pop();
    if (this.#rest.length > maxEventCharacters) throw new Error("an event of the stream is longer than 8 MiB");
    return events.map(dataOf).filter((data) => data !== null);
  }
}

function dataOf(event) {
  const lines = event.split(/\r?\n/).filter((line) => line.startsWith("data:"));
  return lines.length ? lines.map((line) => line.slice(5).replace(/^ /, "")).join("\n") : null;
}
