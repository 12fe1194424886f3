;; Traps if it has been called before in the same store.
;;= deed
(global $calls (mut i32) (i32.const 0))
(func $deed)
;;= poisoned
(func $poisoned (result i32)
  (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
  (if (i32.gt_u (global.get $calls) (i32.const 2)) (then unreachable))
  (i32.const 0))
