;; Traps when it is instantiated.
;;= start
(func $start unreachable)
(start $start)
