;; Loops without end in describe.
;;= misdescribe
(func $misdescribe (loop $x (br $x)))
