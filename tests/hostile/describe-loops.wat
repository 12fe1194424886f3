;; Loops when asked what it is.
;;= misdescribe
(func $misdescribe (loop $x (br $x)))
