// The conversation of echo_clients.py, by @grpc/grpc-js: node echo_client.js PORT, prints JSON.
'use strict';

const grpc = require('@grpc/grpc-js');

const client = new grpc.Client(`127.0.0.1:${process.argv[2]}`, grpc.credentials.createInsecure());
const path = (name) => `/test.Echo/${name}`;
const same = (buffer) => buffer;

// google.protobuf.BytesValue by hand: field 1, length-delimited.
function varint(number) {
  const bytes = [];
  for (; number > 127; number = Math.floor(number / 128)) bytes.push((number % 128) | 128);
  return Buffer.from([...bytes, number]);
}

const value = (data) => Buffer.concat([Buffer.from([10]), varint(data.length), data]);

function data(message) {
  if (message.length === 0) return message;
  let at = 1;
  while (message[at] & 128) at += 1;
  return message.subarray(at + 1);
}

const hex = (message) => data(message).toString('hex');
const letters = ['a', 'b', 'c'].map((letter) => value(Buffer.from(letter)));
const soon = () => ({ deadline: Date.now() + 20000 });

function unary(name, options = soon()) {
  return new Promise((resolve, reject) => {
    const request = value(Buffer.from('nobody'));
    client.makeUnaryRequest(path(name), same, same, request, new grpc.Metadata(), options, (error, answer) =>
      error ? reject(error) : resolve(answer));
  });
}

const status = (promise) =>
  promise.then(() => ['OK', ''], (error) => [grpc.status[error.code], error.details]);

function chosen(metadata) {
  return Object.fromEntries(Object.entries(metadata.getMap()).filter(([name]) => name.startsWith('echo-')));
}

function collect(call) {
  return new Promise((resolve, reject) => {
    const got = [];
    call.on('data', (message) => got.push(message));
    call.on('error', reject);
    call.on('end', () => resolve(got));
  });
}

const bidi = (name, metadata = new grpc.Metadata()) =>
  client.makeBidiStreamRequest(path(name), same, same, metadata, soon());

async function pingPong() {
  const call = bidi('echo');
  const got = [];
  for (const letter of letters) {
    call.write(letter);
    got.push(hex(await new Promise((resolve) => call.once('data', resolve))));
  }
  call.end();
  await new Promise((resolve) => call.once('status', resolve));
  return got;
}

async function meta(seen) {
  const metadata = new grpc.Metadata();
  metadata.set('user-id', 'rider 7');
  metadata.set('trace-bin', Buffer.from([0, 255]));
  const call = bidi('meta', metadata);
  call.on('metadata', (initial) => { seen.initial = chosen(initial); });
  call.on('status', (end) => { seen.trailing = chosen(end.metadata); });
  call.end(letters[0]);
  await collect(call);
}

async function main() {
  const seen = {};
  seen.unary = hex(await new Promise((resolve, reject) =>
    client.makeUnaryRequest(path('unary'), same, same, value(Buffer.from('x')), new grpc.Metadata(), soon(),
      (error, answer) => (error ? reject(error) : resolve(answer)))));
  const split = client.makeServerStreamRequest(
    path('split'), same, same, value(Buffer.from('abc')), new grpc.Metadata(), soon());
  seen.split = (await collect(split)).map(hex);
  seen.join = hex(await new Promise((resolve, reject) => {
    const call = client.makeClientStreamRequest(path('join'), same, same, new grpc.Metadata(), soon(),
      (error, answer) => (error ? reject(error) : resolve(answer)));
    call.write(letters[0]);
    call.end(letters[1]);
  }));
  seen.echo = await pingPong();
  const large = bidi('echo');
  large.end(value(Buffer.alloc(3000000)));
  seen.large = data((await collect(large))[0]).length;
  await meta(seen);
  seen.not_found = await status(unary('not_found'));
  seen.fails = await status(unary('fails'));
  seen.unimplemented = await status(unary('no_such'));
  seen.deadline = await status(unary('slow', { deadline: Date.now() + 200 }));
  const hanging = bidi('hangs');
  hanging.write(letters[0]);
  const ended = collect(hanging);
  setTimeout(() => hanging.cancel(), 50);
  seen.cancelled = (await status(ended))[0];
  client.close();
  process.stdout.write(JSON.stringify(seen));
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
