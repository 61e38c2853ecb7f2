// Both JavaScript SDKs while the upstreams call a tool: node tools.mjs <base URL> <key> <chat model> <claude model>
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const [baseURL, apiKey, chatModel, claudeModel] = process.argv.slice(2);
const openai = new OpenAI({ baseURL: `${baseURL}/v1`, apiKey, maxRetries: 0 });
const anthropic = new Anthropic({ baseURL, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: "Weather?" }];
const parameters = { type: "object", properties: { where: { type: "string" } } };

for (const model of [chatModel, claudeModel]) {
  const tools = [{ type: "function", function: { name: "look", parameters } }];
  const stream = openai.chat.completions.stream({ model, messages, tools });
  const said = (await stream.finalChatCompletion()).choices[0].message;
  const [call] = said.tool_calls;
  assert.deepEqual(JSON.parse(call.function.arguments), { where: "Hà Nội" });
  const result = { role: "tool", tool_call_id: call.id, content: "rain" };
  await openai.chat.completions.create({ model, messages: [...messages, said, result], tools });
}
for (const model of [claudeModel, chatModel]) {
  const tools = [{ name: "look", input_schema: parameters }];
  const message = await anthropic.messages.stream({ model, max_tokens: 50, messages, tools }).finalMessage();
  const use = message.content.find((block) => block.type === "tool_use");
  assert.deepEqual(use.input, { where: "Hà Nội" });
  const result = { type: "tool_result", tool_use_id: use.id, content: "rain" };
  const again = [...messages, { role: "assistant", content: message.content }, { role: "user", content: [result] }];
  await anthropic.messages.create({ model, max_tokens: 50, messages: again, tools });
}

console.log("tools: ok");
