;; Sleeps for an hour in each way that WASI has.
;;= deed
(func $deed (local $p i32)
  (local.set $p (call $subscribe (i64.const 3600000000000)))
  (call $block (local.get $p))
  (i32.store (i32.const 4096) (local.get $p))
  (call $poll (i32.const 4096) (i32.const 1) (i32.const 4104))
  (loop $x (br_if $x (i32.eqz (call $ready (local.get $p))))))
;;= imports
(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $subscribe (param i64) (result i32)))
(import "wasi:io/poll@0.2.0" "poll" (func $poll (param i32 i32 i32)))
(import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
(import "wasi:io/poll@0.2.0" "[method]pollable.ready" (func $ready (param i32) (result i32)))
