// gRPC's interoperability cases, played by @grpc/grpc-js: node grpc_js_client.js PORT CASE. Exit code 0 if it holds.
'use strict';

const assert = require('assert');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const definition = loader.loadSync(`${__dirname}/interop.proto`, { keepCase: true, defaults: true });
const { TestService, UnimplementedService } = grpc.loadPackageDefinition(definition).grpc.testing;
const address = `127.0.0.1:${process.argv[2]}`;
const gzip = { 'grpc.default_compression_algorithm': grpc.compressionAlgorithms.gzip };
const connect = (options = {}, Service = TestService) =>
  new Service(address, grpc.credentials.createInsecure(), { 'grpc.enable_http_proxy': 0, ...options });
const client = connect();
const soon = (ms = 20000) => ({ deadline: Date.now() + ms });

const SIZES_IN = [27182, 8, 1828, 45904];
const SIZES_OUT = [31415, 9, 2653, 58979];
const SPECIAL = '\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n';
const payload = (size) => ({ body: Buffer.alloc(size) });
const asking = (...sizes) => ({ response_parameters: sizes.map((size) => ({ size })) });
const sum = (sizes) => sizes.reduce((total, size) => total + size, 0);

// A call with one answer: {reply, error, initial, trailing}.
function single(method, request, { stub = client, metadata = new grpc.Metadata(), options = soon() } = {}) {
  return new Promise((resolve) => {
    const seen = {};
    const call = stub[method](request, metadata, options, (error, reply) => Object.assign(seen, { error, reply }));
    call.on('metadata', (initial) => Object.assign(seen, { initial }));
    call.on('status', (status) => resolve({ ...seen, trailing: status.metadata }));
  });
}

// What comes on a stream, and how it ends: {replies, code, details, initial, trailing}.
function collect(call) {
  return new Promise((resolve) => {
    const seen = { replies: [] };
    call.on('data', (reply) => seen.replies.push(reply));
    call.on('metadata', (initial) => Object.assign(seen, { initial }));
    call.on('error', () => {});
    call.on('status', ({ code, details, metadata }) => resolve({ ...seen, code, details, trailing: metadata }));
  });
}

function upload(requests, stub = client) {
  return new Promise((resolve, reject) => {
    const call = stub.StreamingInputCall(soon(), (error, reply) => (error ? reject(error) : resolve(reply)));
    requests.forEach((request) => call.write(request));
    call.end();
  });
}

async function statuses(message) {
  const response_status = { code: 2, message };
  const unary = await single('UnaryCall', { response_status });
  assert.deepStrictEqual([unary.error.code, unary.error.details], [2, message]);
  const duplex = client.FullDuplexCall(soon());
  duplex.write({ response_status });
  duplex.end();
  const { code, details } = await collect(duplex);
  assert.deepStrictEqual([code, details], [2, message]);
}

const cases = {
  async empty_unary() {
    assert.deepStrictEqual((await single('EmptyCall', {})).reply, {});
  },
  async large_unary() {
    const { reply } = await single('UnaryCall', { response_size: 314159, payload: payload(271828) });
    assert.strictEqual(reply.payload.body.length, 314159);
  },
  async client_streaming() {
    const reply = await upload(SIZES_IN.map((size) => ({ payload: payload(size) })));
    assert.strictEqual(reply.aggregated_payload_size, sum(SIZES_IN));
  },
  async server_streaming() {
    const { replies, code } = await collect(client.StreamingOutputCall(asking(...SIZES_OUT), soon()));
    assert.deepStrictEqual([code, replies.map((reply) => reply.payload.body.length)], [0, SIZES_OUT]);
  },
  async ping_pong() {
    const call = client.FullDuplexCall(soon());
    let turn = 0;
    const ask = () => call.write({ ...asking(SIZES_OUT[turn]), payload: payload(SIZES_IN[turn]) });
    call.on('data', () => { turn += 1; if (turn < SIZES_IN.length) ask(); else call.end(); });
    ask();
    const { replies } = await collect(call);
    assert.deepStrictEqual(replies.map((reply) => reply.payload.body.length), SIZES_OUT);
  },
  async empty_stream() {
    const call = client.FullDuplexCall(soon());
    call.end();
    const { code, replies } = await collect(call);
    assert.deepStrictEqual([code, replies], [0, []]);
  },
  async timeout_on_sleeping_server() {
    const call = client.FullDuplexCall(soon(50));
    call.write({ payload: payload(27182) });
    assert.strictEqual((await collect(call)).code, grpc.status.DEADLINE_EXCEEDED);
  },
  async cancel_after_begin() {
    const code = await new Promise((resolve) => {
      const call = client.StreamingInputCall(soon(), (error) => resolve(error.code));
      call.cancel();
    });
    assert.strictEqual(code, grpc.status.CANCELLED);
  },
  async cancel_after_first_response() {
    const call = client.FullDuplexCall(soon());
    call.on('data', () => call.cancel());
    call.write({ ...asking(31415), payload: payload(27182) });
    const { code, replies } = await collect(call);
    assert.deepStrictEqual([code, replies.length], [grpc.status.CANCELLED, 1]);
  },
  async status_code_and_message() {
    await statuses('test status message');
  },
  async special_status_message() {
    await statuses(SPECIAL);
  },
  async unimplemented_method() {
    assert.strictEqual((await single('UnimplementedCall', {})).error.code, grpc.status.UNIMPLEMENTED);
  },
  async unimplemented_service() {
    const stub = connect({}, UnimplementedService);
    assert.strictEqual((await single('UnimplementedCall', {}, { stub })).error.code, grpc.status.UNIMPLEMENTED);
    stub.close();
  },
  async custom_metadata() {
    const metadata = new grpc.Metadata();
    metadata.set('x-grpc-test-echo-initial', 'test_initial_metadata_value');
    metadata.set('x-grpc-test-echo-trailing-bin', Buffer.from('ababab', 'hex'));
    const unary = await single('UnaryCall', {}, { metadata });
    const duplex = client.FullDuplexCall(metadata, soon());
    duplex.write(asking(1));
    duplex.end();
    for (const { initial, trailing } of [unary, await collect(duplex)]) {
      assert.deepStrictEqual(initial.get('x-grpc-test-echo-initial'), ['test_initial_metadata_value']);
      assert.strictEqual(trailing.get('x-grpc-test-echo-trailing-bin')[0].toString('hex'), 'ababab');
    }
  },
  async client_compressed_unary() {
    const wanted = (value) => ({ expect_compressed: { value }, payload: payload(271828) });
    assert.strictEqual((await single('UnaryCall', wanted(true))).error.code, grpc.status.INVALID_ARGUMENT);
    const stub = connect(gzip);
    assert.ifError((await single('UnaryCall', wanted(true), { stub })).error);
    assert.ifError((await single('UnaryCall', wanted(false))).error);
    stub.close();
  },
  async server_compressed_unary() {
    for (const value of [true, false]) {
      const request = { response_compressed: { value }, response_size: 314159, payload: payload(1) };
      assert.strictEqual((await single('UnaryCall', request)).reply.payload.body.length, 314159);
    }
  },
  async client_compressed_streaming() {
    const stub = connect(gzip);
    for (const [value, by] of [[true, stub], [false, client]]) {
      const requests = [27182, 45904].map((size) => ({ expect_compressed: { value }, payload: payload(size) }));
      assert.strictEqual((await upload(requests, by)).aggregated_payload_size, 73086);
    }
    stub.close();
  },
  async server_compressed_streaming() {
    const response_parameters = [{ size: 31415, compressed: { value: true } }, { size: 92653 }];
    const { replies } = await collect(client.StreamingOutputCall({ response_parameters }, soon()));
    assert.deepStrictEqual(replies.map((reply) => reply.payload.body.length), [31415, 92653]);
  },
};

(async () => {
  const names = process.argv[3] ? [process.argv[3]] : Object.keys(cases);
  for (const name of names) {
    await cases[name]();
    console.log(name);
  }
  client.close();
  process.exit(0); // timers of cancelled calls would keep it for their deadline
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
