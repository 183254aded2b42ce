// Starts the page: tabs, theme, key. Each panel is made when it is first looked at, and told when it is shown and hidden.

import { arrows } from "./dom.js";
import { askKey } from "./dialogs.js";
import { apiKey, onKey, setTheme, showTheme, theme } from "./session.js";
import { chatPanel } from "./chat.js";
import { graphPanel } from "./graph.js";
import { learningPanel } from "./learning.js";
import { treesPanel } from "./trees.js";
import { versionsPanel } from "./versions.js";

const makers = { chat: chatPanel, graph: graphPanel, trees: treesPanel, learning: learningPanel, versions: versionsPanel };
const panels = {}; // by name: { show(argument), hide() }
const tabs = [...document.querySelectorAll("[role=tab]")];
let current = "";

/** open shows a panel; argument goes to it, such as the text whose graph is wanted. */
function open(name, argument) {
  if (current && current !== name) panels[current].hide?.();
  for (const tab of tabs) {
    const chosen = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
    document.getElementById(tab.getAttribute("aria-controls")).hidden = !chosen;
  }
  current = name;
  panels[name] ??= makers[name](document.getElementById(`panel-${name}`), { open });
  panels[name].show?.(argument);
  if (location.hash !== `#${name}`) history.replaceState(null, "", `#${name}`);
}

const themes = { "": ["◐", "as the system"], light: ["☀", "light"], dark: ["☾", "dark"] };

function labelTheme() {
  const [sign, name] = themes[theme()] ?? themes[""];
  const button = document.getElementById("theme");
  button.textContent = sign;
  button.title = `Colors: ${name}`;
  button.setAttribute("aria-label", `Colors: ${name}. Change`);
}

function labelKey() {
  const button = document.getElementById("key");
  button.textContent = apiKey() ? "Key ✓" : "Key";
  button.setAttribute("aria-label", apiKey() ? "API key: set. Change" : "API key: none. Enter one");
}

for (const tab of tabs) {
  tab.addEventListener("click", () => open(tab.id.slice(4)));
  tab.addEventListener("keydown", (event) => {
    if (arrows(event, tabs, "ArrowLeft", "ArrowRight")) document.activeElement.click();
  });
}
document.getElementById("theme").addEventListener("click", () => {
  const names = Object.keys(themes);
  setTheme(names[(names.indexOf(theme()) + 1) % names.length]);
  labelTheme();
});
document.getElementById("key").addEventListener("click", askKey);
onKey(() => {
  labelKey();
  panels[current].show?.(); // what was refused may be there now
});
document.addEventListener("visibilitychange", () => (document.hidden ? panels[current].hide?.() : panels[current].show?.()));
window.addEventListener("hashchange", () => makers[location.hash.slice(1)] && open(location.hash.slice(1)));

showTheme();
labelTheme();
labelKey();
open(makers[location.hash.slice(1)] ? location.hash.slice(1) : "chat");
