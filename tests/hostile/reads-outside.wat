;; Reads outside its memory.
;;= deed
(func $deed (local $i i32)
  (drop (i32.load (i32.const -8))))
