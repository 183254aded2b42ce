// What this browser keeps: the API key as long as the tab lives, the theme for good. Storage may be forbidden; then nothing is kept.

let key = read("sessionStorage", "astro-key");
const listeners = new Set();

function read(store, name) {
  try {
    return globalThis[store].getItem(name) ?? "";
  } catch {
    return "";
  }
}

function write(store, name, value) {
  try {
    if (value) globalThis[store].setItem(name, value);
    else globalThis[store].removeItem(name);
  } catch {
    // It still holds until the page is left.
  }
}

/** apiKey is sent with every request, "" = none. */
export const apiKey = () => key;

/** setKey keeps the key and tells who asked to know. */
export function setKey(value) {
  key = value.trim();
  write("sessionStorage", "astro-key", key);
  for (const listener of listeners) listener();
}

/** onKey calls back after each change of the key. */
export const onKey = (listener) => listeners.add(listener);

/** theme is "" (as the system says), "light" or "dark". */
export const theme = () => read("localStorage", "astro-theme");

/** setTheme keeps and shows it. */
export function setTheme(value) {
  write("localStorage", "astro-theme", value);
  showTheme(value);
}

/** showTheme sets the page's colors. */
export function showTheme(value = theme()) {
  if (value) document.documentElement.dataset.theme = value;
  else delete document.documentElement.dataset.theme;
}
