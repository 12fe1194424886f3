;; Loops when it is instantiated.
;;= start
(func $start (loop $x (br $x)))
(start $start)
