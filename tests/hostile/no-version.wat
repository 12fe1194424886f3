;; Declares a version of 300 bytes.
;;= misdescribe
(func $misdescribe (local $i i32)
  (call $pair (i32.const 2056) (i32.const 1280) (i32.const 300)))
