// First questions. The countdown models take a problem as the whole message: combine all numbers with + - * / to reach the target.

const countdown = ["3 7 2 9 -> 27", "3 4 5 6 -> 18", "1 5 7 8 -> 42", "2 3 8 9 -> 35"];
const general = [
  "What is 17 × 23? Think step by step and check the result.",
  "A train of 120 m passes a pole in 6 s. How fast is it in km/h?",
  "How many positive divisors does 360 have?",
];

/** isCountdown says whether a model plays the numbers game, by its name. */
export const isCountdown = (model) => /countdown/i.test(model);

/** examplesFor are problems that suit a model. */
export const examplesFor = (model) => (isCountdown(model) ? countdown : general);

/** countdownPrompt is a problem as the countdown models read it where the server renders no chat template. */
export const countdownPrompt = (problem) => `${problem.trim()} :`;
