;; Traps if the clock moves.
;;= deed
(func $deed (local $i i32)
  (loop $x (if (i64.ne (call $now) (i64.const 0)) (then unreachable)) (local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if $x (i32.lt_u (local.get $i) (i32.const 1000)))))
;;= imports
(import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $now (result i64)))
(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $subscribe (param i64) (result i32)))
(import "wasi:random/random@0.2.0" "get-random-u64" (func $random (result i64)))
