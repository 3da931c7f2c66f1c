// What of WASI the world in wit/ imports.

declare module "wasi:cli/stdin@0.2.6" {
  export interface InputStream {
    /** Up to so many bytes; throws { payload: { tag: "closed" } } at the end. */
    blockingRead(length: number): Uint8Array;
  }
  export function getStdin(): InputStream;
}

declare module "wasi:cli/stdout@0.2.6" {
  export interface OutputStream {
    /** At most 4,096 bytes at once. */
    blockingWriteAndFlush(bytes: Uint8Array): void;
  }
  export function getStdout(): OutputStream;
}
