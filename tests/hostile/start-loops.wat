;; Loops without end at instantiation.
;;= start
(func $start (loop $x (br $x)))
(start $start)
