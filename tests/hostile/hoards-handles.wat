;; Allocates handles without end.
;;= deed
(func $deed (local $i i32)
  (loop $x (drop (call $subscribe (i64.const 1))) (br $x)))
;;= imports
(import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $now (result i64)))
(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $subscribe (param i64) (result i32)))
(import "wasi:random/random@0.2.0" "get-random-u64" (func $random (result i64)))
