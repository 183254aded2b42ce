// Does something again and again while somebody looks.

/** poll calls work every so many milliseconds between start and stop, never twice at a time. work returns false to be asked no more. */
export function poll(work, milliseconds) {
  let [wanted, timer] = [0, 0];
  async function round(turn) {
    const more = await work();
    if (turn !== wanted) return;
    if (more === false) wanted = 0;
    else timer = setTimeout(round, milliseconds, turn);
  }
  let turns = 0;
  return {
    start() {
      clearTimeout(timer);
      wanted = ++turns;
      round(wanted);
    },
    stop() {
      clearTimeout(timer);
      wanted = 0;
    },
  };
}
