// Puppet on @grpc/grpc-js. See README.md. The modules are found through NODE_PATH.
const grpc = require("@grpc/grpc-js");
const readline = require("readline");

const CONNECT = "/ride.v1.RideStreamService/Connect";
const asBytes = (value) => value;
const client = new grpc.Client(process.argv[2], grpc.credentials.createInsecure());
const calls = {};

function say(row) {
  process.stdout.write(JSON.stringify(row) + "\n");
}

function open(who, userId) {
  const metadata = new grpc.Metadata();
  metadata.set("user-id", userId);
  const call = client.makeBidiStreamRequest(CONNECT, asBytes, asBytes, metadata);
  call.on("data", (answer) => say({ who, got: answer.toString("base64") }));
  call.on("error", () => {});
  call.on("status", (status) => say({ who, code: status.code, details: status.details }));
  calls[who] = call;
}

readline
  .createInterface({ input: process.stdin })
  .on("line", (line) => {
    const order = JSON.parse(line);
    if (order.open) open(order.who, order.open);
    else if (order.send) calls[order.who].write(Buffer.from(order.send, "base64"));
    else if (order.half_close) calls[order.who].end();
    else calls[order.who].cancel();
  })
  .on("close", () => process.exit(0));
