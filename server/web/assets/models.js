// The choice of a model and, with it, of a version: the server lists name, which is what serves now, and name@v12.

import { get } from "./api.js";
import { el } from "./dom.js";

/** baseName is a model's name without its version. */
export const baseName = (id) => id.replace(/@v\d+$/, "");

/** fillModels reads the list into a select and keeps the choice where it is still there. */
export async function fillModels(select) {
  const { data } = await get("v1/models");
  const names = [...new Set(data.map((model) => baseName(model.id)))];
  const chosen = select.value;
  select.replaceChildren(...names.map((name) => group(name, data)));
  if (data.some((model) => model.id === chosen)) select.value = chosen;
  return data;
}

function group(name, models) {
  const own = models.filter((model) => baseName(model.id) === name);
  const options = own.map((model) => el("option", { value: model.id }, model.id === name ? `${name} · now` : model.id));
  return own.length > 1 ? el("optgroup", { label: name }, options) : el("option", { value: own[0].id }, own[0].id);
}
