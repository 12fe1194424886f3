;; Traps when asked what it is.
;;= misdescribe
(func $misdescribe unreachable)
