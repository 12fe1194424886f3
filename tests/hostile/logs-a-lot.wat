;; Writes 200 log entries, of which the host keeps 10.
;;= deed
(func $deed (local $i i32)
  (loop $x (call $log (i32.const 1) (i32.const 1314) (i32.const 11) (i32.const 0) (i32.const 0)) (local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if $x (i32.lt_u (local.get $i) (i32.const 200)))))
