;; Traps at instantiation.
;;= start
(func $start unreachable)
(start $start)
