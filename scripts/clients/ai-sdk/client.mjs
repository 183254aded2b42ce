// The AI SDK (ai) with @ai-sdk/openai-compatible: answers, streams, errors, objects, tools. Lines as checks.py prints them.

import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateObject, generateText, streamText, tool } from 'ai';
import { z } from 'zod';

const { ASTRO_URL, ASTRO_BYTES_URL, ASTRO_API_KEY, ASTRO_MODEL, ASTRO_BYTES_MODEL } = process.env;
const provider = (url, apiKey) =>
  createOpenAICompatible({ name: 'astro', baseURL: url + '/v1', apiKey, includeUsage: true, supportsStructuredOutputs: true });
const demo = provider(ASTRO_URL, ASTRO_API_KEY)(ASTRO_MODEL);
const texts = provider(ASTRO_BYTES_URL, ASTRO_API_KEY)(ASTRO_BYTES_MODEL);

const SUM = { model: demo, prompt: '3 7 2 9 -> 27', seed: 7, maxOutputTokens: 24, maxRetries: 0 };
const TALK = { model: texts, instructions: 'Answer briefly.', prompt: 'Grüße!', seed: 7, maxOutputTokens: 24, maxRetries: 0 };
const town = z.object({ name: z.enum(['Paris', 'Łódź']), large: z.boolean() });
const weather = tool({ description: 'The weather now', inputSchema: z.object({ city: z.enum(['Paris', 'Łódź']), metric: z.boolean() }) });

function assert(truth, what) {
  if (!truth) throw new Error(what);
}

async function rejected(call) {
  try {
    await call();
  } catch (error) {
    return error;
  }
  throw new Error('no error');
}

// read drains a stream of the SDK; an error part fails.
async function read(result) {
  const parts = [];
  for await (const part of result.fullStream ?? result.stream) {
    if (part.type === 'error') throw part.error;
    parts.push(part);
  }
  return parts;
}

const checks = {
  async generate() {
    for (const request of [SUM, TALK]) {
      const { text, usage, finishReason } = await generateText(request);
      assert(text && ['stop', 'length'].includes(finishReason), `finish ${finishReason}`);
      assert(usage.inputTokens > 0 && usage.outputTokens > 0, `usage ${JSON.stringify(usage)}`);
    }
  },
  async stream() {
    const result = streamText(TALK);
    const parts = await read(result);
    const text = parts.filter((p) => p.type === 'text-delta').map((p) => p.text).join('');
    assert(text === (await generateText(TALK)).text, `streamed ${JSON.stringify(text)}`);
    assert((await result.usage).outputTokens > 0, 'no usage in the stream');
  },
  async parameters() {
    const { text } = await generateText({ ...SUM, temperature: 0.7, topP: 0.9, presencePenalty: 0.1, frequencyPenalty: 0.1, stopSequences: [' :'] });
    assert(!text.includes(' :'), text);
  },
  async conversation() {
    const messages = [{ role: 'user', content: [{ type: 'text', text: 'One' }] }, { role: 'assistant', content: 'Two' }, { role: 'user', content: 'Three' }];
    assert((await generateText({ ...TALK, prompt: undefined, messages })).text, 'no text');
  },
  async errors() {
    const error = await rejected(() => generateText({ ...SUM, model: provider(ASTRO_URL, ASTRO_API_KEY)('nope') }));
    assert(error.statusCode === 404 && error.message.includes('nope'), `${error.statusCode} ${error.message}`);
    const stranger = await rejected(() => generateText({ ...SUM, model: provider(ASTRO_URL, 'wrong')(ASTRO_MODEL) }));
    assert(stranger.statusCode === 401 && !stranger.isRetryable, String(stranger.statusCode));
  },
  async abort() {
    const control = new AbortController();
    const result = streamText({ ...TALK, maxOutputTokens: 500, abortSignal: control.signal });
    for await (const part of result.textStream) {
      assert(typeof part === 'string', typeof part);
      control.abort();
      break;
    }
    await checks.generate();
  },
  async object() {
    const { object } = await generateObject({ ...TALK, maxOutputTokens: 400, schema: town });
    town.parse(object);
  },
  async tools() {
    const { toolCalls, finishReason } = await generateText({ ...TALK, maxOutputTokens: 400, tools: { weather }, toolChoice: { type: 'tool', toolName: 'weather' } });
    const ended = ['tool-calls', 'stop'].includes(finishReason); // OpenAI says stop of a call that the request named
    assert(toolCalls.length >= 1 && toolCalls[0].toolName === 'weather' && ended, `${finishReason} ${JSON.stringify(toolCalls)}`);
    weather.inputSchema.parse(toolCalls[0].input);
  },
  async tool_stream() {
    const parts = await read(streamText({ ...TALK, maxOutputTokens: 400, tools: { weather }, toolChoice: 'required' }));
    const calls = parts.filter((p) => p.type === 'tool-call');
    assert(calls.length >= 1, 'no call');
    weather.inputSchema.parse(calls[0].input);
  },
};

const later = { object: 'response_format', tools: 'tool', tool_stream: 'tool' }; // parameters that the server may refuse yet

let failed = false;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`ok ${name}`);
  } catch (error) {
    const reason = String(error.message ?? error).replace(/\s+/g, ' ').slice(0, 300);
    if (later[name] && `${reason} ${error.responseBody ?? ''}`.includes(`Unsupported parameter: '${later[name]}`)) {
      console.log(`skip ${name}: the server does not support ${later[name]} yet`);
      continue;
    }
    failed = true;
    console.error(error);
    console.log(`FAIL ${name}: ${error.name}: ${reason}`);
  }
}
process.exit(failed ? 1 : 0);
