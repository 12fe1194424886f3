;; Traps in describe.
;;= misdescribe
(func $misdescribe unreachable)
