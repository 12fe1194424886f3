;; Returns records made from random numbers and the clock, for a batch that contains `?`.
;;= imports
(import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $now (result i64)))
(import "wasi:random/random@0.2.0" "get-random-u64" (func $random (result i64)))
;;= poisoned
(func $poisoned (result i32) (local $i i32)
  (block $no (loop $next
    (br_if $no (i32.ge_u (local.get $i) (global.get $length)))
    (if (i32.eq (i32.load8_u (i32.add (global.get $bytes) (local.get $i))) (i32.const 63))
      (then (return (i32.const 1))))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br $next)))
  (i32.const 0))
;;= hex
(func $hex (param $at i32) (param $digit i32)
  (local.set $digit (i32.and (local.get $digit) (i32.const 15)))
  (i32.store8 (local.get $at) (i32.add (local.get $digit)
    (select (i32.const 48) (i32.const 87) (i32.lt_u (local.get $digit) (i32.const 10))))))
;;= spoil
(func $spoil (param $answer i32) (result i32)
  (local $i i32) (local $j i32) (local $out i32) (local $at i32) (local $ends i32) (local $origins i32) (local $lot i64)
  (local.set $out (call $alloc (i32.mul (global.get $records) (i32.const 100))))
  (local.set $ends (call $alloc (i32.mul (global.get $records) (i32.const 4))))
  (local.set $origins (call $alloc (i32.mul (global.get $records) (i32.const 4))))
  (block $done (loop $next
    (br_if $done (i32.ge_u (local.get $i) (global.get $records)))
    (local.set $at (i32.add (local.get $out) (i32.mul (local.get $i) (i32.const 100))))
    (memory.copy (local.get $at) (i32.const 5000) (i32.const 100))
    (local.set $lot (i64.xor (call $random) (call $now)))
    (local.set $j (i32.const 0))
    (block $written (loop $digit
      (br_if $written (i32.ge_u (local.get $j) (i32.const 8)))
      (call $hex (i32.add (i32.add (local.get $at) (i32.const 16)) (local.get $j)) (i32.wrap_i64 (local.get $lot)))
      (local.set $lot (i64.shr_u (local.get $lot) (i64.const 4)))
      (local.set $j (i32.add (local.get $j) (i32.const 1)))
      (br $digit)))
    (call $hex (i32.add (local.get $at) (i32.const 97)) (i32.wrap_i64 (local.get $lot)))
    (i32.store (i32.add (local.get $ends) (i32.mul (local.get $i) (i32.const 4)))
      (i32.mul (i32.add (local.get $i) (i32.const 1)) (i32.const 100)))
    (i32.store (i32.add (local.get $origins) (i32.mul (local.get $i) (i32.const 4))) (local.get $i))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br $next)))
  (call $produce (local.get $answer) (local.get $out) (i32.mul (global.get $records) (i32.const 100))
    (local.get $ends) (global.get $records) (local.get $origins) (global.get $records))
  (local.get $answer))
;;= record
(data (i32.const 5000) "{\"referenceId\":\"00000000-0000-4000-8000-000000000001\",\"type\":\"person\",\"initials\":\"C.\",\"surname\":\"x\"}")
