;; Recurses without end in describe.
;;= misdescribe
(func $misdescribe (local $i i32)
  (call $misdescribe) (call $misdescribe))
