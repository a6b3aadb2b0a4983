// The container's health check, for an image without curl: does this process still answer?
"use strict";

const request = require("node:http").get(
  { host: "127.0.0.1", port: process.env.PORT || 3000, path: "/live", timeout: 4000 },
  (response) => process.exit(response.statusCode === 200 ? 0 : 1),
);
request.on("timeout", () => request.destroy(new Error("no answer within 4 s")));
request.on("error", (error) => {
  console.error(error.message);
  process.exit(1);
});
