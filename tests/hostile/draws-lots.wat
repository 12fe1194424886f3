;; Draws a random number and reveals it in a log entry.
;;= imports
(import "sluice:plugin/log@0.1.0" "entry" (func $log (param i32 i32 i32 i32 i32)))
(import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $now (result i64)))
(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $subscribe (param i64) (result i32)))
(import "wasi:random/random@0.2.0" "get-random-u64" (func $random (result i64)))
;;= deed
(func $deed (call $log (i32.const 1) (i32.const 1314) (i32.const 11) (i32.const 1) (i32.wrap_i64 (i64.and (call $random) (i64.const 7)))))
