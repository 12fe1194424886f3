;; Panics with a message of 3 MiB.
;;= deed
(func $deed (local $i i32)
  (drop (memory.grow (i32.const 80))) (call $panicked (i32.const 524288) (i32.const 3145728)) unreachable)
