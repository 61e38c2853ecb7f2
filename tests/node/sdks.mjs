// OpenAI's and Anthropic's JavaScript SDKs against a running API: node sdks.mjs <base URL> <key> <chat model> <claude model>
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const [baseURL, apiKey, chatModel, claudeModel] = process.argv.slice(2);
const openai = new OpenAI({ baseURL: `${baseURL}/v1`, apiKey, maxRetries: 0 });
const anthropic = new Anthropic({ baseURL, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: "What is the answer?" }];
const echo = [{ role: "user", content: "Hello there" }];

// -- OpenAI's, on upstreams of both protocols

for (const model of [chatModel, claudeModel]) {
  const { data, response } = await openai.chat.completions.create({ model, messages }).withResponse();
  assert.equal(data.choices[0].message.content, "The answer is 42.");
  assert.equal(data.usage.cost, response.headers.get("x-operis-charge"));
  const stream = openai.chat.completions.stream({ model, messages, stream_options: { include_usage: true } });
  const final = await stream.finalChatCompletion();
  assert.equal(final.choices[0].message.content, "The answer is 42.");
  assert.equal((await stream.totalUsage()).completion_tokens, 7);
}
const response = await openai.responses.create({ model: chatModel, input: "What is the answer?" });
assert.equal(response.output_text, "The answer is 42.");
const kinds = [];
for await (const event of await openai.responses.create({ model: "operis/echo", input: "Hello there", stream: true })) {
  kinds.push(event.type);
}
assert.deepEqual([kinds[0], kinds.at(-1)], ["response.created", "response.completed"]);
const embedded = await openai.embeddings.create({ model: "operis/echo", input: ["one", "two"] });
assert.deepEqual(embedded.data.map((found) => found.embedding.length), [64, 64]);
assert.ok((await openai.models.list()).data.some((model) => model.id === chatModel));
await assert.rejects(openai.chat.completions.create({ model: "no/model", messages }), OpenAI.NotFoundError);
await assert.rejects(
  openai.chat.completions.create({ model: claudeModel, messages, n: 2 }),
  (error) => error instanceof OpenAI.BadRequestError && error.code === "not_translatable" && error.param === "n",
);
const stranger = new OpenAI({ baseURL: `${baseURL}/v1`, apiKey: "sk-op-wrong", maxRetries: 0 });
await assert.rejects(stranger.chat.completions.create({ model: chatModel, messages }), OpenAI.AuthenticationError);

// -- Anthropic's, on upstreams of both protocols

for (const model of [claudeModel, chatModel]) {
  const message = await anthropic.messages.create({ model, max_tokens: 50, messages });
  assert.equal(message.content[0].text, "The answer is 42.");
  assert.ok(message.usage.cost);
  const final = await anthropic.messages.stream({ model, max_tokens: 50, messages }).finalMessage();
  assert.equal(final.content[0].text, "The answer is 42.");
  assert.equal(final.usage.output_tokens, 7);
}
const counted = await anthropic.messages.countTokens({ model: "operis/echo", messages: echo });
assert.equal(counted.input_tokens, 11);
await assert.rejects(
  anthropic.messages.create({ model: "no/model", max_tokens: 9, messages }),
  (error) => error instanceof Anthropic.NotFoundError && error.error.error.code === "model_not_found",
);
await assert.rejects(
  new Anthropic({ baseURL, apiKey: "sk-op-wrong", maxRetries: 0 }).messages.create({
    model: claudeModel,
    max_tokens: 9,
    messages,
  }),
  Anthropic.AuthenticationError,
);

console.log("sdks: ok");
