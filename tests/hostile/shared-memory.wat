;; Wants memory for threads.
;;= shared
(memory 1 2 shared)
