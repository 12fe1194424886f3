;; Allocates memory in describe until the host refuses.
;;= misdescribe
(func $misdescribe (local $i i32)
  (loop $x (br_if $x (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable)
