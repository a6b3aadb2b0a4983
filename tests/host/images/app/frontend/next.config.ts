import type { NextConfig } from "next";

const config: NextConfig = {
  output: "standalone",
  poweredByHeader: false,
  // No image is resized here, and the library that would do it is half of the output.
  images: { unoptimized: true },
  outputFileTracingExcludes: { "*": ["node_modules/sharp/**/*", "node_modules/@img/**/*"] },
};

export default config;
