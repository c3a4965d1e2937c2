// What `openai-node` and Vercel's AI SDK get from a server: `node node.mjs openai|ai URL KEY MODEL`, one line for each case.
import assert from "node:assert/strict";

const [, , judge, url, key, model] = process.argv;
const messages = [{ role: "user", content: "Say hello." }];
const tool = {
  type: "object", properties: { city: { type: "string", enum: ["Paris", "Rome"] } }, required: ["city"], additionalProperties: false,
};

async function openai() {
  const { default: OpenAI, NotFoundError, AuthenticationError, toFile } = await import("openai");
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
  return {
    "models": async () => assert((await client.models.list()).data.some((each) => each.id === model)),
    "chat": async () => {
      const whole = await client.chat.completions.create({ model, messages, max_tokens: 8 });
      assert(whole.choices[0].message.content.length && whole.usage.completion_tokens);
    },
    "chat, streamed": async () => {
      let said = "", usage = null;
      const stream = await client.chat.completions.create(
        { model, messages, max_tokens: 8, stream: true, stream_options: { include_usage: true } });
      for await (const chunk of stream) { said += chunk.choices[0]?.delta?.content ?? ""; usage = chunk.usage ?? usage; }
      assert(said.length && usage.total_tokens);
    },
    "tools": async () => {
      const tools = [{ type: "function", function: { name: "weather", description: "of a city", parameters: tool } }];
      const whole = await client.chat.completions.create(
        { model, messages: [{ role: "user", content: "The weather in Rome?" }], tools, tool_choice: "required", max_tokens: 60 });
      assert(["Paris", "Rome"].includes(JSON.parse(whole.choices[0].message.tool_calls[0].function.arguments).city));
    },
    "responses": async () => {
      const made = await client.responses.create({ model, input: "Say hello.", max_output_tokens: 16 });
      assert(made.output_text.length && made.usage.total_tokens);
    },
    "responses, streamed": async () => {
      const kinds = [];
      const stream = await client.responses.create({ model, input: "Say hello.", max_output_tokens: 16, stream: true });
      for await (const event of stream) kinds.push(event.type);
      assert.equal(kinds[0], "response.created");
      assert(["response.completed", "response.incomplete"].includes(kinds.at(-1)));
    },
    "embeddings": async () => {
      const found = await client.embeddings.create({ model: "potion-base-8m", input: ["one", "two"] });
      assert.equal(found.data.length, 2);
      assert(found.data[0].embedding.length > 10 && Number.isFinite(found.data[0].embedding[0]));
    },
    "images": async () => {
      const made = await client.images.generate({ model: "image", prompt: "A quiet kettle", size: "256x256" });
      assert(Buffer.from(made.data[0].b64_json, "base64").subarray(1, 4).equals(Buffer.from("PNG")));
    },
    "files and batches": async () => {
      const line = { custom_id: "a", method: "POST", url: "/v1/embeddings", body: { model: "potion-base-8m", input: "one" } };
      const file = await client.files.create({ file: await toFile(Buffer.from(JSON.stringify(line)), "a.jsonl"), purpose: "batch" });
      let batch = await client.batches.create({ input_file_id: file.id, endpoint: "/v1/embeddings", completion_window: "24h" });
      for (let turn = 0; turn < 240 && batch.status !== "completed"; turn++) {
        await new Promise((done) => setTimeout(done, 500));
        batch = await client.batches.retrieve(batch.id);
      }
      assert.equal(batch.request_counts.completed, 1);
    },
    "errors": async () => {
      await assert.rejects(client.chat.completions.create({ model: "nobody", messages }), NotFoundError);
      const stranger = new OpenAI({ baseURL: `${url}/v1`, apiKey: "btg_wrong", maxRetries: 0 });
      await assert.rejects(stranger.models.list(), AuthenticationError);
    },
  };
}

async function ai() {
  const { generateText, streamText, embed, jsonSchema, Output } = await import("ai");
  const { createOpenAICompatible } = await import("@ai-sdk/openai-compatible");
  const bottega = createOpenAICompatible({ name: "bottega", baseURL: `${url}/v1`, apiKey: key, includeUsage: true, supportsStructuredOutputs: true });
  const common = { model: bottega(model), maxRetries: 0, maxOutputTokens: 40 };
  return {
    "generateText": async () => {
      const made = await generateText({ ...common, prompt: "Say hello." });
      assert(made.text.length && made.usage.outputTokens);
    },
    "streamText": async () => {
      let said = "";
      for await (const piece of streamText({ ...common, prompt: "Say hello." }).textStream) said += piece;
      assert(said.length);
    },
    "structured output": async () => {
      const made = await generateText({ ...common, prompt: "Which city? Rome.", output: Output.object({ schema: jsonSchema(tool) }) });
      assert(["Paris", "Rome"].includes(made.output.city));
    },
    "tools": async () => {
      const tools = { weather: { description: "of a city", inputSchema: jsonSchema(tool) } };
      const made = await generateText({ ...common, prompt: "The weather in Rome?", tools, toolChoice: "required", maxOutputTokens: 60 });
      assert(["Paris", "Rome"].includes(made.toolCalls[0].input.city));
    },
    "embed": async () => {
      const model = bottega.embeddingModel ? bottega.embeddingModel("potion-base-8m") : bottega.textEmbeddingModel("potion-base-8m");
      assert((await embed({ model, value: "one", maxRetries: 0 })).embedding.length > 10);
    },
    "errors": async () => {
      await assert.rejects(generateText({ ...common, model: bottega("nobody"), prompt: "x" }), (error) => error.statusCode === 404);
    },
  };
}

globalThis.AI_SDK_LOG_WARNINGS = false;
const cases = await { openai, ai }[judge]();
for (const [name, run] of Object.entries(cases)) {
  try {
    await run();
    console.log(`pass ${name}`);
  } catch (error) {
    console.log(`fail ${name}: ${String(error.message ?? error).split("\n")[0].slice(0, 200)}`);
  }
}
process.exit(0);
