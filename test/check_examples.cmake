# Runs the example on the logits that come with it, and compares what it wrote with a reference of higher precision.
#
#     cmake -DSOFTMAX_NPY=softmax_npy -DPYTHON=python3 -DEXAMPLES=examples -DOUTPUT=folder [-DEMULATOR=...] -P check_examples.cmake

separate_arguments(EMULATOR)

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${ARGN}: ${result}")
  endif()
endfunction()

set(digits_names --classes ${EXAMPLES}/data/digits_classes.txt)
set(vocabulary_names --classes ${EXAMPLES}/data/vocabulary_words.txt --contexts ${EXAMPLES}/data/vocabulary_contexts.txt)
file(REMOVE_RECURSE ${OUTPUT})
file(MAKE_DIRECTORY ${OUTPUT})
foreach(name IN ITEMS digits vocabulary)
  set(logits ${EXAMPLES}/data/${name}_logits.npy)
  set(probabilities ${OUTPUT}/${name}_probabilities.npy)
  run(${EMULATOR} ${SOFTMAX_NPY} ${logits} ${probabilities} ${${name}_names})
  run(${PYTHON} ${EXAMPLES}/reference.py ${logits} ${probabilities})
  run(${EMULATOR} ${SOFTMAX_NPY} ${logits} ${probabilities}.threads ${${name}_names} --threads 3)
  run(${CMAKE_COMMAND} -E compare_files ${probabilities} ${probabilities}.threads)
endforeach()
